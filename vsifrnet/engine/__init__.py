"""The engine: tensors in, pictures out; device, precision, workers and recorded graphs."""

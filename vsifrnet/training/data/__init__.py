"""Training data: data sets, synthetic motion, augmentation, batches."""

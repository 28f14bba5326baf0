"""Training of IFRNet; nothing that the filter needs imports this package."""

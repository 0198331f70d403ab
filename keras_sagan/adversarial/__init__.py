"""What one step of training computes: the GAN, its losses, optimizers and regularizers."""

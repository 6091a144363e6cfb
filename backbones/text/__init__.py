"""Text backbones: Hugging Face encoders."""

"""T5: the encoder under prompts, and labels scored by the decoder."""

"""Small models from examples: LoRA, batching, losses, the loop, checkpoints, export."""

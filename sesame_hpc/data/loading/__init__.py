"""From annotations to batches of crops: augmentation, decoding, DALI, the loaders."""

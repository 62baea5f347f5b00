"""Images of faces: sheets of crops with landmarks, augmentations and boxes."""

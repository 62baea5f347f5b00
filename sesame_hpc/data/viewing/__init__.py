"""Faces drawn for people: sheets of crops with landmarks, augmentations and boxes."""

"""A run on disk: its folder, its faces, and the folder of its data set."""

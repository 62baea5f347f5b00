"""A run on disk: its folder, its faces, and where its data lie."""

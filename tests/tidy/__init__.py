"""How the source is arranged: floors, circles, the length of files, where unsafe code stands."""

"""Ground floor: errors, argument checks, memory, the packing contract of patterns, progress, files."""

"""Engine bundles: a manifest, the files it lists, and their hashes."""

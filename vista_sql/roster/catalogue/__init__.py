"""What each network consists of: a JSON file each, and `entries`, which counts a network anew."""

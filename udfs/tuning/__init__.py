"""Fine-tuning: rows with maps of frozen layers → a network and a head, tuned together."""

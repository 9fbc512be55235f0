"""What each place of an image adds to a model's score: by its linearity, or by graying patches."""

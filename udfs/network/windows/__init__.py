"""A network on parts of its maps: only what a change of the image can reach is computed again.

`reach.py` knows how far a step sees, `segments.py` what a patch of the image reaches and what that
takes, `cropped.py` makes networks of windows, `again.py` runs them.

The idea is Krypton's (Nakandala, Kumar & Papakonstantinou, Incremental and Approximate Inference
for Faster Occlusion-based Deep CNN Explanations, SIGMOD 2019, section 3): inference with a patch
grayed is the maintenance of a view, of which the first inference's maps are held.
"""

"""Street-level photographs and videos: annotations to masks, and a model over each frame.

Annotations: `label_classes`, `polygon_json`, `annotations`. Videos and pictures: `frames` (reading
and writing), `palette` (colours, legend), `frame_labels` (classes of a frame), `video` (whole
videos).
"""

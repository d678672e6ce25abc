"""The map page: a server with a JSON API for people who map roads.

In the order in which they depend on each other: `store`, `files`, `engine` (one run of the command
line as a child process), `networks`, `corrections`, `road_tiles`, `raster_tiles`, `network_style`,
`scene_report`, `route`, `stored_run` (a finished run in memory), `tasks` and `pool` (short work in
a process of its own), `queue` (which job runs when). Requests and their answers are in `api`.
"""

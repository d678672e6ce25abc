"""The map page: a server with a JSON API for people who map roads.

In the order in which they depend on each other: `store`, `files`, `uploads` (checks of files),
`engine` (one run of the command line as a child process), `networks`, `corrections`, `road_tiles`,
`raster_tiles`, `network_style`, `scene_report`, `route`, `stored_run` (a finished run in memory),
`tasks` and `pool` (short work in a process of its own), `queue` (which job runs when), `access`
(tokens and origins), `models`, `downloads`, `context`, `jobs_api`, `map_api`, `app`, `server`.
"""

"""The map page: a server for people who map roads, with a JSON API.

In the order in which they depend on each other: `store`, `uploads` (what is let in),
`engine` (one run of the command line as a child process), `tasks` and `pool` (short work in a
process of its own), `queue` (which job runs when), `road_tiles`, `raster_tiles`, `access` (who is
let in), `jobs_api`, `map_api`, `app`, `server`.
"""

"""The JSON API and the pages: requests, their checks and their answers.

In the order in which they depend on each other: `uploads` (checks of files), `access` (tokens and
origins), `models`, `downloads`, `context`, `receiving`, `jobs_api`, `map_api`, `app`, `server`.
"""

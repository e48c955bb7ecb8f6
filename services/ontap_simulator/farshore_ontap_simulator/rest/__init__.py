"""The REST surface: ONTAP's query language, bodies, jobs and errors over HTTP."""

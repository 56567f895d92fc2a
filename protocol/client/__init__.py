"""The frontend's end of the wire: a client that launches or joins a kernel and holds a replica."""

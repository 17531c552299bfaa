"""Documents in pieces: what is indexed, retrieved and cited."""

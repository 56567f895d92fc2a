"""What is done for a library if the user imports it."""

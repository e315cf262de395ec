"""Speed and memory beside other engines: `make bench`."""

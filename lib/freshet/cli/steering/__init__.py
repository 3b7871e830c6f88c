"""Commands by which people of the shop steer lists and compare them, each with a file that they write."""

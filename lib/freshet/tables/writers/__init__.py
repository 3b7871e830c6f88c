"""The engines that write Delta tables."""

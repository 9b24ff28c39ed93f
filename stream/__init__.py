"""flowtell: watch live video and say fake or real."""

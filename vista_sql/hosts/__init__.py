"""The hosts: engines that run staged SQL; each is thin."""

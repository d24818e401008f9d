"""Define the commands of ``scarches-plus``, one file for each group."""

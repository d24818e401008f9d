"""Commands of ``scarches-plus``, one file for each group."""

"""Find models on disk: among the files of a folder, in archives, by path; open what was found."""

"""The names, options and help texts of the commands. What a command does is imported when it is run."""

"""Everything that is a frontend, or speaks for one."""

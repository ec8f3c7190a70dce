"""When things happen: calendars of vendors, recurrences in local time, and what is due."""

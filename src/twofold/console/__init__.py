"""What commands print: tables, lines of figures, progress; and where their output goes."""

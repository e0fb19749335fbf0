"""What commands print (tables, lines of metrics, progress), and where it goes."""

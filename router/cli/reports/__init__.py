"""What `elder-router report` shows of figures: in words, on a terminal, as CSV, JSON or a page. Counts nothing."""

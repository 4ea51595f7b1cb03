"""What `test_no_stock_code.py` runs: programs, and a record of the lines that they execute."""

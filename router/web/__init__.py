"""What monitoring reads over HTTP. It reads only: nothing here changes what the router does."""

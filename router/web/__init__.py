"""What monitoring reads over HTTP, and what an Asterisk on another machine fetches.

It reads only: nothing here changes what the router does.
"""

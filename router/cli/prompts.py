"""`elder-router prompts`."""
import click
prompts = click.Group("prompts")

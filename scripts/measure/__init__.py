"""The parts of scripts/figures: servers, tools, and one module for each thing measured."""

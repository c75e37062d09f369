"""Tests of the sandbox: its wire shapes, its books, its moderation, its footage, its faults and its life."""

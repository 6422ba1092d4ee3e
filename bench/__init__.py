# SPDX-License-Identifier: Apache-2.0
"""Speed and memory, each measured beside its peer in the same run: ``python -m bench [SECTION…]``.

Never part of the test suite: times depend on the machine and on what else it does. What is compared is therefore always
run in turns (A B A B …), and the ratio of each pair is printed beside the ratio of the medians.
"""

# SPDX-License-Identifier: Apache-2.0
import streamlit as st

st.title("Reeds")
st.slider("How many?", 1, 10)

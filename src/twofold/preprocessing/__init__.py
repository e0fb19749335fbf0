"""What a network reads of posts: words, word pieces, entity markers, pictures, crops, word neighbours."""
